"""JSON Schemas of the YAML files, so that an editor completes and checks them: `rayjobs.schema` writes them."""
