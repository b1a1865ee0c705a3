//! Runs checked programs slowly and exactly: the judge of every target.
