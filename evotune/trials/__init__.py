"""Work on stored trials: compare, certify, diagnose, select for export."""
