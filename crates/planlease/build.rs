//! Does nothing: a build script has to exist for the build dependencies that carry `protoc` to be fetched.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
}
