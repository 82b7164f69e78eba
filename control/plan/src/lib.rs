//! Pure decisions of the control plane: assignment and reconciliation.
