"""What a finished run leaves: tables, summary, manifest, and whether it can be reproduced."""
