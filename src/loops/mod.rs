//! Loops over addressed memory: what back ends translate.
