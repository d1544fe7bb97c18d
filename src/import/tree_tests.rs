//! What a file is read as, and what of it is refused.

use super::*;
use serde_json::json;
use std::fmt::Write;

fn read(text: &str) -> Result<Node, Finding> {
    parse(&"org.yaml".into(), text, "", &mut Budget::default())
}

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn every_value_knows_its_line() {
    let node = read("name: x\nworkspaces:\n- name: a\n  role: |\n    long\n- name: b\n").unwrap();
    let Value::Map(entries) = &node.value else { panic!("{node:?}") };
    let Value::List(items) = &entries[1].value.value else { panic!("{node:?}") };
    let Value::Map(second) = &items[1].value else { panic!("{node:?}") };
    assert_eq!((entries[1].mark.line, items[1].mark.line, second[0].mark.line), (2, 6, 6));
    let Value::Map(first) = &items[0].value else { panic!("{node:?}") };
    assert_eq!(first[1].mark.line, 4);
}

#[test]
fn only_plain_scalars_are_numbers_truth_or_null() {
    let text =
        "[1, '1', -7, 1.5, 007, 1_000, 1e3, .inf, true, 'true', yes, ~, '', null, 2024-01-01, !!str 5]";
    let expected = json!([
        1,
        "1",
        -7,
        1.5,
        "007",
        "1_000",
        "1e3",
        ".inf",
        true,
        "true",
        "yes",
        null,
        "",
        null,
        "2024-01-01",
        "5"
    ]);
    assert_eq!(read(text).unwrap().json(), expected);
}

#[test]
fn aliases_and_merges_are_written_out() {
    let text = "a: &base {x: 1, y: 2}\nb: {<<: *base, y: 3}\nc: *base\nd: {<<: [{x: 9}, *base]}\n";
    let expected = json!({"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2},
        "d": {"x": 9, "y": 2}});
    assert_eq!(read(text).unwrap().json(), expected);
}

#[test]
fn a_tag_that_is_not_yamls_stays() {
    let node = read("- !include a.yaml\n- !external {repo: r}\n").unwrap();
    let Value::List(items) = node.value else { panic!() };
    let tags: Vec<_> = items
        .iter()
        .map(|item| match &item.value {
            Value::Tagged { tag, .. } => tag.as_str(),
            _ => "",
        })
        .collect();
    assert_eq!(tags, ["!include", "!external"]);
}

#[test]
fn what_is_not_one_document_is_refused_with_its_line() {
    assert!(refusal("a: [1\nb: 2\n").starts_with("org.yaml:"), "{}", refusal("a: [1\nb: 2\n"));
    assert!(refusal("a: 1\n---\nb: 2\n").starts_with("org.yaml:3: a second document"));
    assert_eq!(
        refusal("ws:\n- a: 1\n  b: 2\n  a: 3\n"),
        "org.yaml:4: ws[0].a: the key stands on line 2 already: keep one of the two"
    );
    assert!(refusal("a: &x [*x]\n").contains("alias inside the value"));
    assert!(refusal("? [a]\n: b\n").contains("a key must be"));
    assert!(refusal("a: *nobody\n").starts_with("org.yaml:1: this is not YAML"));
}

#[test]
fn what_doubles_itself_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let below = format!("*a{}", n - 1);
        writeln!(text, "a{n}: &a{n} [{}]", vec![below; 10].join(", ")).unwrap();
    }
    assert!(refusal(&text).contains("more than 100000 values"), "{}", refusal(&text));
}

#[test]
fn comments_say_nothing_however_many_there_are() {
    let text = format!("a:\n{}- b # c\n", "# a comment\n".repeat(500));
    assert_eq!(read(&text).unwrap().json(), json!({"a": ["b"]}));
}

#[test]
fn a_block_at_the_end_of_a_file_has_the_line_ends_that_are_there() {
    assert_eq!(read("a: |\n  b").unwrap().json(), json!({"a": "b"}));
    assert_eq!(read("a: |\n  b\n").unwrap().json(), json!({"a": "b\n"}));
}

#[test]
fn an_empty_file_is_nothing() {
    assert!(read("").unwrap().is_null());
    assert!(read("# only a comment\n").unwrap().is_null());
    assert!(read("---\na: 1\n...\n").unwrap().json() == json!({"a": 1}));
}
