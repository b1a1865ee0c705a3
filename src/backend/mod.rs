//! Back ends: loops to code.
