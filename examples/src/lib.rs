//! Examples of the extension points.
