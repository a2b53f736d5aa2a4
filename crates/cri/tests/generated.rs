//! The committed code is what `proto/runtime.proto` generates. `UPDATE_EXPECT=1` writes it anew; needs `protoc`.

use std::path::Path;

#[test]
fn committed_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = std::env::temp_dir().join(format!("gantry-cri-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    tonic_prost_build::configure()
        .build_server(false)
        .btree_map(".")
        .out_dir(&out)
        .compile_protos(&[root.join("proto/runtime.proto")], &[root.join("proto")])
        .unwrap();
    let made = std::fs::read_to_string(out.join("runtime.v1.rs")).unwrap();
    std::fs::remove_dir_all(&out).unwrap();
    let committed = root.join("src/generated/runtime.v1.rs");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(committed.parent().unwrap()).unwrap();
        std::fs::write(&committed, &made).unwrap();
    }
    let have = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(
        have == made,
        "src/generated/runtime.v1.rs is stale: UPDATE_EXPECT=1 cargo test -p cri --test generated"
    );
}
