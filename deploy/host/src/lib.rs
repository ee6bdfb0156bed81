//! The machine the engine runs on: what is set, what should be, do it, undo it, prove it.
