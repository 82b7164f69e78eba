//! The single-owner loop that turns stored state into running tasks.
