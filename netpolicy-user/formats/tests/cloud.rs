//! Networks that clouds and Spamhaus publish.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use netpolicy_formats::{Filter, Format};

use common::{country, errors, file, read_file, service, shown};

/// By <https://www.spamhaus.org/drop/>, with documentation addresses.
#[test]
fn drop_list_is_checked_against_its_metadata() {
    let reading = read_file("drop-v4.json", Format::DropJson, &Filter::default());
    assert_eq!(
        shown(&reading),
        [
            "1: 192.0.2.0/24 # SBL256894 apnic",
            "2: 198.51.100.0/22 # SBL434604 ripencc",
            "3: 203.0.113.0/24 # SBL502548 arin",
        ]
    );
    let text = String::from_utf8(file("drop-v4.json")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let found = errors(lines[..3].join("\n").as_bytes(), &Filter::default());
    assert!(
        found[0].contains("ends too early: the last line"),
        "{found:?}"
    );
    let found = errors(
        [lines[0], lines[3]].join("\n").as_bytes(),
        &Filter::default(),
    );
    assert!(
        found[0].contains("3 records, of which 1 are there"),
        "{found:?}"
    );
}

/// By the documentation of each, with documentation addresses.
#[test]
fn clouds_are_selected_by_service_and_region() {
    let aws = read_file("aws-ip-ranges.json", Format::AwsRanges, &Filter::default());
    assert_eq!(
        shown(&aws),
        [
            "6: 192.0.2.0/24 # AWS AMAZON eu-central-1",
            "18: 198.51.100.0/25 # AWS S3 us-east-1",
            "26: 2001:db8:a::/48 # AWS S3 eu-central-1",
        ]
    );
    assert_eq!(
        aws.notes,
        ["1 entry stands there more than once and is taken once"]
    );
    let both = Filter {
        region: vec!["eu-central-1".to_owned()],
        ..service("S3")
    };
    let some = read_file("aws-ip-ranges.json", Format::AwsRanges, &both);
    assert_eq!(some.entries.len(), 1);
    assert_eq!(
        errors(&file("aws-ip-ranges.json"), &service("S4")),
        [
            "f: no entry is selected by --service S4; there are: AMAZON, EC2, S3, eu-central-1, us-east-1"
        ]
    );

    let gcp = Filter {
        region: vec!["europe-west3".to_owned()],
        ..Filter::default()
    };
    let gcp = read_file("gcp-cloud.json", Format::GcpRanges, &gcp);
    assert_eq!(
        shown(&gcp),
        ["9: 2001:db8::/44 # Google Cloud europe-west3"]
    );

    for name in ["Storage", "storage.westeurope", "AzureStorage"] {
        let azure = read_file("azure-tags.json", Format::AzureTags, &service(name));
        assert_eq!(
            shown(&azure),
            ["30: 198.51.100.64/26 # Azure Storage.WestEurope"]
        );
    }

    let hooks = read_file("github-meta.json", Format::GithubMeta, &service("hooks"));
    assert_eq!(
        shown(&hooks),
        [
            "5: 192.0.2.192/26 # GitHub hooks",
            "5: 2001:db8:d::/48 # GitHub hooks"
        ]
    );
    let all = read_file("github-meta.json", Format::GithubMeta, &Filter::default());
    assert_eq!(all.entries.len(), 4);

    let cloudflare = read_file(
        "cloudflare-ips.json",
        Format::Cloudflare,
        &Filter::default(),
    );
    assert_eq!(cloudflare.entries.len(), 3);
    let failed = br#"{"result":null,"success":false,"ipv4_cidrs":0}"#;
    assert!(errors(failed, &Filter::default())[0].contains("says that it failed"));
    assert_eq!(
        errors(&file("aws-ip-ranges.json"), &country("DE")),
        [
            "f: ip-ranges.json of AWS has nothing that --country selects by; it knows --service and --region"
        ]
    );
}
