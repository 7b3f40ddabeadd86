"""What may be wrong with bars as they were read: found and told, never repaired in silence."""
