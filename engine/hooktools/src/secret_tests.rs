//! Tables of the secret tools.

use crate::fake::{
    ID, check, check_effect, check_in_relation, check_stateless, check_stdin, run_tool,
};

const URI: &str = "secret:0123456789abcdefghij";

#[test]
fn secrets_are_added() {
    check(&["secret-add", "password=hush"], 0, &format!("{URI}\n"), "");
    check_effect(
        &["secret-add", "password=hush"],
        &["secret-add {\"password\": \"aHVzaA==\"} - - - - -"],
    );
    let flags = ["secret-add", "--label", "l", "--description", "d e", "--rotate=monthly"];
    let more = ["--expire", "24h", "--owner", "unit", "key=v"];
    check_effect(
        &[&flags[..], &more[..]].concat(),
        &["secret-add {\"key\": \"dg==\"} l d e monthly 2026-11-21T10:00:00Z unit"],
    );
    let rfc = ["secret-add", "--expire=2027-01-01T00:00:00+01:00", "key=v", "--owner=application"];
    check_effect(&rfc, &["secret-add {\"key\": \"dg==\"} - - - 2026-12-31T23:00:00Z application"]);
}

#[test]
fn values_may_be_in_base64_and_in_a_file() {
    check_effect(&["secret-add", "key#base64=dg=="], &["secret-add {\"key\": \"dg==\"} - - - - -"]);
    check_effect(&["secret-add", "key=a=b"], &["secret-add {\"key\": \"YT1i\"} - - - - -"]);
    check_stdin(
        &["secret-add", "--file", "/f", "key=v", "one=v"],
        "key: v\nmore#base64: dg==\nnot: ''\n",
        &[
            "secret-add {\"key\": \"dg==\", \"more\": \"dg==\", \"not\": \"\", \"one\": \"dg==\"} - - - - -",
        ],
    );
    // How the client sends a file without content.
    check_effect(&["secret-add", "key#file="], &["secret-add {\"key\": \"\"} - - - - -"]);
}

#[test]
fn odd_content_is_refused_without_quoting_values() {
    check(&["secret-add"], 2, "", "missing secret value or filename");
    check(&["secret-add", "--label", "x"], 2, "", "missing secret value or filename");
    check(&["secret-add", "--file", "-"], 2, "", "open -: no such file or directory");
    for key in ["ab", "Abc", "a_bc", "abc-", "a--bc", "1abc"] {
        check(&["secret-add", &format!("{key}=v")], 2, "", &format!("key {key:?} not valid"));
    }
    check(&["secret-add", "key="], 2, "", "key value \"key\" not valid");
    check(&["secret-add", "hush"], 2, "", "key value \"…\" not valid");
    let base64 = "base64 value of key \"key\" not valid";
    check(&["secret-add", "key#base64=%%"], 2, "", base64);
    let file = "cannot read the file of key \"key\" here: the hook tool's own process sends it";
    check(&["secret-add", "key#file=/x"], 2, "", file);
    let large = format!("key={}", "x".repeat(750_003));
    check(
        &["secret-add", &large],
        2,
        "",
        "secret content for key \"key\" too large: 1000004 bytes",
    );
    let half = |key: &str| format!("{key}={}", "x".repeat(375_003));
    check(
        &["secret-add", &half("one"), &half("two")],
        2,
        "",
        "secret content too large: 1000008 bytes",
    );
}

#[test]
fn odd_metadata_is_refused() {
    let add = ["secret-add", "key=v"];
    let with = |last: &'static [&'static str]| [&add[..], last].concat();
    check(&with(&["--rotate", "often"]), 2, "", "rotate policy \"often\" not valid");
    check(&with(&["--owner", "me"]), 2, "", "secret owner \"me\" not valid");
    check(&with(&["--expire", "soon"]), 2, "", "expire time or duration \"soon\" not valid");
    check(&with(&["--expire", "-1h"]), 2, "", "negative expire duration \"-1h\" not valid");
    check(&with(&["--label", "taken"]), 1, "", "secret with label \"taken\" already exists");
}

#[test]
fn secrets_are_changed() {
    check_effect(
        &["secret-set", URI, "key=v"],
        &["secret-set 0123456789abcdefghij {\"key\": \"dg==\"} - - - - -"],
    );
    let label = ["secret-set", ID, "--label", "l"];
    check_effect(&label, &["secret-set 0123456789abcdefghij none l - - - -"]);
    check(&["secret-set"], 2, "", "missing secret URI");
    check(&["secret-set", "key=v"], 2, "", "secret URI \"key=v\" not valid");
    check(&["secret-set", URI, "k=v"], 2, "", "key \"k\" not valid");
}

#[test]
fn secrets_are_read() {
    check(&["secret-get", URI, "--format=json"], 0, "{\"password\":\"hush\"}\n", "");
    let long = "secret://00000000-0000-0000-0000-000000000000/0123456789abcdefghij";
    check(&["secret-get", long], 0, "password: hush\n", "");
    check(&["secret-get", ID, "password"], 0, "hush\n", "");
    check(&["secret-get", ID, "password#base64"], 0, "aHVzaA==\n", "");
    check(&["secret-get", ID, "nope"], 1, "", "secret key \"nope\" not found");
    check(&["secret-get", "--label", "l"], 0, "password: hush\n", "");
    check(&["secret-get", "--label", "x"], 1, "", "consumer label \"x\" not found");
    let gone = "secret \"9999999999abcdefghij\" not found";
    check(&["secret-get", "secret:9999999999abcdefghij"], 1, "", gone);
    check(&["secret-get"], 2, "", "require either a secret URI or label");
    check(&["secret-get", "short"], 2, "", "secret URI \"short\" not valid");
    let both = "specify one of \"peek\" or \"refresh\" but not both";
    check(&["secret-get", ID, "--peek", "--refresh"], 2, "", both);
    let smart = "invalid value \"smart\" for option --format: unknown format \"smart\"";
    check(&["secret-get", ID, "--format=smart"], 2, "", smart);
}

#[test]
fn revisions_are_chosen_by_flags() {
    check_effect(&["secret-get", ID], &["secret-get Tracked"]);
    check_effect(&["secret-get", ID, "--peek"], &["secret-get Peek"]);
    check_effect(&["secret-get", ID, "--refresh"], &["secret-get Refresh"]);
    check_effect(&["secret-get", ID, "--refresh=False"], &["secret-get Tracked"]);
}

#[test]
fn what_is_known_of_a_secret() {
    let json = concat!(
        "{\"0123456789abcdefghij\":{\"access\":[{\"role\":\"view\",\"scope\":\"relation-1\",",
        "\"target\":\"app-x\"}],\"expiry\":\"2026-11-20T10:00:00Z\",\"label\":\"l\",",
        "\"owner\":\"application\",\"revision\":2,\"rotates\":\"2026-11-20T10:00:00Z\",",
        "\"rotation\":\"never\"}}\n",
    );
    check(&["secret-info-get", URI, "--format=json"], 0, json, "");
    check(&["secret-info-get", "--label=l", "--format=json"], 0, json, "");
    let gone = "secret \"9999999999abcdefghij\" not found";
    check(&["secret-info-get", "9999999999abcdefghij"], 1, "", gone);
    let both = "specify either a secret URI or label but not both";
    check(&["secret-info-get", ID, "--label", "l"], 2, "", both);
    check(&["secret-info-get"], 2, "", "require either a secret URI or label");
    check(&["secret-ids", "--format=json"], 0, "[\"0123456789abcdefghij\"]\n", "");
    check(&["secret-ids"], 0, "- 0123456789abcdefghij\n", "");
    check_stateless(&["secret-ids", "--format=json"], 0, "null\n", "");
    check_stateless(&["secret-ids"], 0, "", "");
}

#[test]
fn grants_come_and_go() {
    check_effect(&["secret-grant", URI, "-r", "1"], &["grant 0123456789abcdefghij 1 -"]);
    let ops = ["secret-grant", ID, "--relation", "db:1", "--unit", "app/0"];
    check_effect(&ops, &["grant 0123456789abcdefghij 1 app/0"]);
    check_in_relation(&["secret-grant", ID], 0, "", "");
    check(&["secret-grant", ID], 2, "", "no relation id specified");
    check(&["secret-grant", "-r", "1"], 2, "", "missing secret URI");
    let gone = "secret \"9999999999abcdefghij\" not found";
    check(&["secret-grant", "9999999999abcdefghij", "-r", "1"], 1, "", gone);
    let unit = "invalid unit name \"app\"";
    check(&["secret-grant", ID, "-r", "1", "--unit", "app"], 2, "", unit);
    check_effect(&["secret-revoke", ID, "-r", "1"], &["revoke 0123456789abcdefghij 1 -"]);
    check_effect(&["secret-revoke", ID, "--app", "app"], &["revoke 0123456789abcdefghij - app"]);
    let unit = ["secret-revoke", ID, "--unit", "app/0"];
    check_effect(&unit, &["revoke 0123456789abcdefghij - app/0"]);
    let none = "one of relation, application or unit is required";
    check(&["secret-revoke", ID], 2, "", none);
}

#[test]
fn secrets_are_removed() {
    check_effect(&["secret-remove", URI], &["remove 0123456789abcdefghij None"]);
    let one = ["secret-remove", ID, "--revision", "3"];
    check_effect(&one, &["remove 0123456789abcdefghij Some(3)"]);
    for odd in ["0", "x", "-1"] {
        let want = format!(
            "invalid value {odd:?} for option --revision: revision must be a positive integer"
        );
        check(&["secret-remove", ID, "--revision", odd], 2, "", &want);
    }
    check(&["secret-remove"], 2, "", "missing secret URI");
    check(&["secret-remove", ID, "x"], 2, "", "unrecognized args: [\"x\"]");
}

#[test]
fn a_file_is_as_juju_reads_it() {
    let refused = |file: &str, content: &str, code: u8, words: &str| {
        let output = run_tool(&["secret-add", "--file", file], Some(content));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.code, stderr),
            (code, format!("ERROR {words}\n")),
            "{file} {content:.20}"
        );
    };
    refused("-", "aaa: stdin", 2, "open -: no such file or directory");
    refused("rel.yaml", "aaa: b", 2, "open rel.yaml: no such file or directory");
    refused("/f", "", 1, "empty secret value not valid");
    refused("/f", "{}", 1, "empty secret value not valid");
    refused("/f", "aaa#base64: dmFs\nbbb#file: /x\n", 2, "key \"bbb#file\" not valid");
    let large = format!("aaa: {}\n", "x".repeat((1 << 20) + 1));
    let words = "secret content in file \"/f\" too large: 1048583 bytes";
    refused("/f", &large, 2, words);
}
