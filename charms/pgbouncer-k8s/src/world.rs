//! Transitions in the framework's World.
