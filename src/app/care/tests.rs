//! What needs no chain; `tests/care.rs` has one.

use super::*;

#[test]
fn a_path_is_quoted_as_a_shell_takes_it() {
    for (path, expected) in [
        ("/etc/timed/config.toml", "/etc/timed/config.toml"),
        ("my node/config.toml", "'my node/config.toml'"),
        ("it's.toml", r"'it'\''s.toml'"),
        ("$(reboot).toml", "'$(reboot).toml'"),
    ] {
        assert_eq!(quoted(Path::new(path)), expected);
    }
}
