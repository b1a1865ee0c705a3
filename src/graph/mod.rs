//! Which value feeds which, without an order yet.
