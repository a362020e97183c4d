//! Tests over whole tokens.
