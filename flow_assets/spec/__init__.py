"""What did the user write? YAML in, frozen specs or errors with their lines out."""
