//! Pure flow control: lag model, rate law.
