"""Every operator, one file a family. `costmodel.operator` holds the base class and the registry."""
