//! `/v1/models`.
