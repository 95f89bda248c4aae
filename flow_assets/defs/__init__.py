"""How does Dagster see it? The only room that imports dagster."""
