//! Small schemas by hand.
