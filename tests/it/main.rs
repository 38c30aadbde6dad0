//! The promises of perimeter, driven through the built binary on real sockets.
