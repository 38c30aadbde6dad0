//! Tools for backends that know only text: told in the prompt, read back from the answer.
