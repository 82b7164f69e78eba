//! Converters: JSON, string, bytes, primitives, and header converters.
