//! Tables of the secret tools.

use crate::stage::{At, ID, OTHER, Stage, check, check_at, check_left};

const URI: &str = "secret:0123456789abcdefghij";
/// Where a secret's id starts that `secret-add` prints.
const WHOLE: &str = "secret://11111111-2222-3333-4444-555555555555/";

/// The content and the metadata of what `secret-add` makes of arguments, a label first.
#[track_caller]
fn check_added(args: &[&str], stdin: Option<&str>, content: &str, metadata: &str) {
    let mut stage = Stage::at(At::Leader);
    let printed = stage.calls(&[&["secret-add", "--label", "m"], args].concat(), stdin);
    let id = printed.trim_end().strip_prefix(WHOLE).unwrap();
    let mut stage = stage.next();
    assert_eq!(stage.calls(&["secret-get", id, "--format=json"], None), content, "{args:?}");
    let info = stage.calls(&["secret-info-get", "--label", "m", "--format=json"], None);
    let (start, end) = (format!("{{\"{id}\":{{\"revision\":1,\"label\":\"m\","), "}}\n");
    let info = info.strip_prefix(&start).and_then(|info| info.strip_suffix(end));
    assert_eq!(info, Some(metadata), "{args:?}");
}

/// What an application's secret is without further flags.
const PLAIN: &str = "\"owner\":\"application\",\"rotation\":\"never\"";

#[test]
fn secrets_are_added() {
    check_added(&["password=hush"], None, "{\"password\":\"hush\"}\n", PLAIN);
    check_added(
        &["--description", "d e", "--rotate=monthly", "--expire", "24h", "--owner=unit", "key=v"],
        None,
        "{\"key\":\"v\"}\n",
        "\"owner\":\"unit\",\"description\":\"d e\",\"rotation\":\"monthly\",\
         \"expiry\":\"2026-11-21T10:00:00Z\",\"rotates\":\"2026-12-20T10:00:00Z\"",
    );
    check_added(
        &["--expire=2027-01-01T00:00:00+01:00", "key=v", "--owner=application"],
        None,
        "{\"key\":\"v\"}\n",
        &format!("{PLAIN},\"expiry\":\"2026-12-31T23:00:00Z\""),
    );
    check_at(At::Follower, &["secret-add", "key=v"], 1, "", "this unit is not the leader");
}

#[test]
fn values_may_be_in_base64_and_in_a_file() {
    check_added(&["key#base64=dg=="], None, "{\"key\":\"v\"}\n", PLAIN);
    check_added(&["key=a=b"], None, "{\"key\":\"a=b\"}\n", PLAIN);
    check_added(
        &["--file", "/f", "key=x", "one=v"],
        Some("key: v\nmore#base64: dg==\nnot: ''\n"),
        "{\"key\":\"v\",\"more\":\"v\",\"not\":\"\",\"one\":\"v\"}\n",
        PLAIN,
    );
    // How the client sends a file without content.
    check_added(&["key#file="], None, "{\"key\":\"\"}\n", PLAIN);
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
    // What is no base64 is refused with the hook.
    let odd = Stage::at(At::Leader).call(&["secret-add", "key#base64=%%"], None);
    assert_eq!(odd.code, 0);
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
    let mut stage = Stage::at(At::Leader);
    stage.calls(&with(&["--label", "taken"]), None);
    stage.check(&with(&["--label", "taken"]), 1, "", "secret with label \"taken\" already exists");
}

#[test]
fn secrets_are_changed() {
    let read = ["secret-get", ID, "--refresh"];
    check_left(&["secret-set", URI, "key=v"], None, &read, "key: v\n");
    let label = ["secret-set", ID, "--label", "m"];
    check_left(&label, None, &["secret-get", "--label", "m"], "password: hush\n");
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
    check(&["secret-get", ID, "nope"], 1, "", "secret key value \"nope\" not found");
    check(&["secret-get", "--label", "l"], 0, "password: hush\n", "");
    check(&["secret-get", "--label", "x"], 1, "", "consumer label \"x\" not found");
    let gone = "secret \"9999999999abcdefghij\" not found";
    check(&["secret-get", "secret:9999999999abcdefghij"], 1, "", gone);
    check(&["secret-get"], 2, "", "require either a secret URI or label");
    check(&["secret-get", "short"], 2, "", "secret URI \"short\" not valid");
    let both = "specify one of --peek or --refresh but not both";
    check(&["secret-get", ID, "--peek", "--refresh"], 2, "", both);
    let smart = "invalid value \"smart\" for option --format: unknown format \"smart\"";
    check(&["secret-get", ID, "--format=smart"], 2, "", smart);
}

#[test]
fn revisions_are_chosen_by_flags() {
    check(&["secret-get", OTHER], 0, "password: old\n", "");
    check(&["secret-get", OTHER, "--peek"], 0, "password: new\n", "");
    check_left(&["secret-get", OTHER, "--peek"], None, &["secret-get", OTHER], "password: old\n");
    check(&["secret-get", OTHER, "--refresh"], 0, "password: new\n", "");
    let tracked = ["secret-get", OTHER];
    check_left(&["secret-get", OTHER, "--refresh"], None, &tracked, "password: new\n");
    check(&["secret-get", OTHER, "--refresh=False"], 0, "password: old\n", "");
}

#[test]
fn what_is_known_of_a_secret() {
    let json = concat!(
        "{\"0123456789abcdefghij\":{\"revision\":2,\"label\":\"l\",\"owner\":\"application\",",
        "\"rotation\":\"daily\",\"expiry\":\"2026-11-20T10:00:00Z\",",
        "\"rotates\":\"2026-11-21T10:00:00Z\",\"access\":[{\"target\":\"application-app\",",
        "\"scope\":\"relation-app.db#pg.db\",\"role\":\"view\"}]}}\n",
    );
    check(&["secret-info-get", URI, "--format=json"], 0, json, "");
    check(&["secret-info-get", "--label=l", "--format=json"], 0, json, "");
    let gone = "secret \"9999999999abcdefghij\" not found";
    check(&["secret-info-get", "9999999999abcdefghij"], 1, "", gone);
    let other = format!("secret {OTHER:?} not found");
    check(&["secret-info-get", OTHER], 1, "", &other);
    let both = "specify either a secret URI or label but not both";
    check(&["secret-info-get", ID, "--label", "l"], 2, "", both);
    check(&["secret-info-get"], 2, "", "require either a secret URI or label");
    check(&["secret-ids", "--format=json"], 0, "[\"0123456789abcdefghij\"]\n", "");
    check(&["secret-ids"], 0, "0123456789abcdefghij\n", "");
    check_at(At::Bare, &["secret-ids", "--format=json"], 0, "null\n", "");
    check_at(At::Bare, &["secret-ids"], 0, "", "");
    check_at(At::Bare, &["secret-ids", "--format=yaml"], 0, "[]\n", "");
}

/// Who may read the own secret after calls, as `target scope`.
#[track_caller]
fn check_readers(calls: &[&[&str]], want: &[&str]) {
    let mut stage = Stage::at(At::Leader);
    for call in calls {
        assert_eq!(stage.calls(call, None), "", "{call:?}");
    }
    let mut stage = stage.next();
    let secret = stage.model().secret(&ID.parse().unwrap()).unwrap();
    let reader = |grant: &juju_model::Grant| {
        let unit = grant.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        format!("{} {}{unit}", grant.app, grant.relation.unwrap())
    };
    assert_eq!(secret.grants.iter().map(reader).collect::<Vec<_>>(), want, "{calls:?}");
}

#[test]
fn grants_come_and_go() {
    check_readers(&[], &["app 1"]);
    check_readers(&[&["secret-grant", URI, "-r", "1"]], &["app 1"]);
    check_readers(&[&["secret-grant", URI, "-r", "2"]], &["app 1", "app 2"]);
    let unit = ["secret-grant", ID, "--relation", "db:1", "--unit", "app/0"];
    check_readers(&[&unit], &["app 1", "app 1 app/0"]);
    check_at(At::Relation, &["secret-grant", ID], 0, "", "");
    check(&["secret-grant", ID], 2, "", "no relation id specified");
    check(&["secret-grant", "-r", "1"], 2, "", "missing secret URI");
    let gone = "secret \"9999999999abcdefghij\" not found";
    check(&["secret-grant", "9999999999abcdefghij", "-r", "1"], 1, "", gone);
    let odd = "invalid unit name \"app\"";
    check(&["secret-grant", ID, "-r", "1", "--unit", "app"], 2, "", odd);
    check_readers(&[&["secret-revoke", ID, "-r", "1"]], &[]);
    check_readers(&[&["secret-revoke", ID, "-r", "2"]], &["app 1"]);
    check_readers(&[&["secret-revoke", ID, "--app", "app"]], &[]);
    check_readers(&[&unit, &["secret-revoke", ID, "--unit", "app/0"]], &["app 1"]);
    let both = "do not specify both relation and app";
    check(&["secret-revoke", ID, "-r", "1", "--app", "app"], 2, "", both);
    let other = "cannot specify unit \"x/0\" in relation to application \"app\"";
    check(&["secret-grant", ID, "-r", "1", "--unit", "x/0"], 2, "", other);
    let none = "missing relation or application or unit";
    check(&["secret-revoke", ID], 2, "", none);
}

#[test]
fn secrets_are_removed() {
    let ids = ["secret-ids"];
    check_left(&["secret-remove", URI], None, &ids, "");
    check_left(&["secret-remove", ID, "--revision", "0"], None, &ids, "");
    let one = ["secret-remove", ID, "--revision", "2"];
    check_left(&one, None, &ids, &format!("{ID}\n"));
    let odd = "invalid value \"x\" for option --revision: strconv.ParseInt: parsing \"x\": invalid syntax";
    check(&["secret-remove", ID, "--revision", "x"], 2, "", odd);
    check(&["secret-remove"], 2, "", "missing secret URI");
    check(&["secret-remove", ID, "x"], 2, "", "unrecognized args: [\"x\"]");
}

#[test]
fn a_file_is_as_juju_reads_it() {
    let refused = |file: &str, content: &str, code: u8, words: &str| {
        let mut stage = Stage::at(At::Leader);
        let output = stage.call(&["secret-add", "--file", file], Some(content));
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
    let list = "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into secrets.SecretData";
    refused("/f", "- hush\n", 2, list);
    let inner = "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!map into string";
    refused("/f", "aaa: {b: hush}\n", 2, inner);
    refused("/f", "aaa#base64: dmFs\nbbb#file: /x\n", 2, "key \"bbb#file\" not valid");
    let large = format!("aaa: {}\n", "x".repeat((1 << 20) + 1));
    let words = "secret content in file \"/f\" too large: 1048583 bytes";
    refused("/f", &large, 2, words);
}
