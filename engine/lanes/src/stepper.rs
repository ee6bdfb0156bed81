//! stepper
