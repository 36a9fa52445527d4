//! Reads what `#[derive(Debug)]` writes, field by field.
//!
//! A machine's text has every field that the machine has, so a key made of it can't forget one that somebody adds. What
//! is left out of a key is left out by its name, in one place, with the reason; and a name that is not there is an
//! error, so that a renamed field is noticed.

/// The fields of a struct, the entries of a map or the items of a list (whose names are empty).
pub fn fields(text: &str) -> Vec<(&str, &str)> {
    let Some(open) = text.find(['{', '[', '(']) else { return Vec::new() };
    let inner = text[open + 1..text.len() - 1].trim();
    let mut parts = Vec::new();
    let (mut depth, mut start, mut colon) = (0_usize, 0, None);
    let bytes = inner.as_bytes();
    for (place, letter) in bytes.iter().enumerate() {
        match letter {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth -= 1,
            b':' if depth == 0 && colon.is_none() => colon = Some(place),
            b',' if depth == 0 => {
                parts.push(part(inner, start, colon, place));
                (start, colon) = (place + 1, None);
            }
            _ => {}
        }
    }
    if start < inner.len() {
        parts.push(part(inner, start, colon, inner.len()));
    }
    parts
}

fn part(text: &str, start: usize, colon: Option<usize>, end: usize) -> (&str, &str) {
    match colon {
        Some(colon) => (text[start..colon].trim(), text[colon + 1..end].trim()),
        None => ("", text[start..end].trim()),
    }
}

/// One field of a struct.
pub fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let found = fields(text).into_iter().find(|(of, _)| *of == name);
    found.unwrap_or_else(|| panic!("no field {name} in {}", text.chars().take(80).collect::<String>())).1
}

/// All fields of a struct but those that `change` replaces, one after the other.
pub fn rewritten<'a>(
    text: &'a str,
    names: &[&str],
    mut change: impl FnMut(&str, &'a str) -> String,
) -> String {
    let mut key = String::with_capacity(text.len());
    let mut changed = 0;
    for (name, value) in fields(text) {
        key.push_str(name);
        key.push(' ');
        if names.contains(&name) {
            changed += 1;
            key.push_str(&change(name, value));
        } else {
            key.push_str(value);
        }
        key.push('\n');
    }
    assert_eq!(changed, names.len(), "one of {names:?} is not there");
    key
}

#[test]
fn fields_are_told_apart() {
    #[derive(Debug)]
    struct Inner(
        #[allow(dead_code, reason = "it is printed")] u8,
        #[allow(dead_code, reason = "it is printed")] Option<u8>,
    );
    let map = std::collections::BTreeMap::from([
        ((1, 2), vec![Inner(3, None), Inner(4, Some(5))]),
        ((6, 7), vec![]),
    ]);
    let text = format!("{map:?}");
    assert_eq!(fields(&text), [("(1, 2)", "[Inner(3, None), Inner(4, Some(5))]"), ("(6, 7)", "[]")]);
    assert_eq!(fields(fields(&text)[0].1), [("", "Inner(3, None)"), ("", "Inner(4, Some(5))")]);
    assert_eq!(fields("None"), []);
    assert_eq!(fields("{}"), []);
    assert_eq!(rewritten("S { a: 1, b: [2, 3] }", &["a"], |_, _| "x".to_owned()), "a x\nb [2, 3]\n");
}
