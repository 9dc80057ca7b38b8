//! Stubs of proto/. protox reads it; with `protoc` installed `compile_protos` of tonic-prost-build does as well.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../../../proto");
    let files = protox::compile(["cabstand/v1/hoster.proto"], ["../../../proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(files)?;
    Ok(())
}
