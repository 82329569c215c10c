//! The page, what is vendored for it, and the guide, as `build.rs` packed them: compressed, as
//! browsers ask for them.

use std::io::{self, Read as _};

use flate2::bufread::GzDecoder;

/// A file that is served to anyone: none holds a secret.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its path in the URL.
    pub(crate) path: &'static str,
    /// Its media type.
    pub(crate) media: &'static str,
    /// Its entity tag, in quotes.
    pub(crate) etag: &'static str,
    /// Its content, compressed.
    pub(crate) gzip: &'static [u8],
}

impl Asset {
    /// Its content.
    ///
    /// # Errors
    /// Never: the build compressed it.
    pub(crate) fn plain(&self) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        GzDecoder::new(self.gzip).read_to_end(&mut plain)?;
        Ok(plain)
    }
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The asset of a path.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    let path = match path {
        "/" => "/index.html",
        path => path,
    };
    let at = ASSETS.binary_search_by(|asset| asset.path.cmp(path));
    at.ok().and_then(|at| ASSETS.get(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KiB that the page may take in all, compressed, without the guide.
    const PAGE_KIB: usize = 120;

    #[test]
    fn page_is_small() {
        let page = ASSETS
            .iter()
            .filter(|asset| !asset.path.starts_with("/guide/"));
        let size: usize = page.map(|asset| asset.gzip.len()).sum();
        assert!(size <= PAGE_KIB << 10, "{size} bytes");
    }

    #[test]
    fn page_has_no_inline_code_and_names_no_other_origin() {
        let mut documents = 0;
        for asset in ASSETS {
            let text = String::from_utf8(asset.plain().unwrap()).unwrap();
            if asset.media.starts_with("text/html") {
                documents += 1;
                let path = asset.path;
                assert!(!text.contains("<style"), "{path}");
                assert!(!text.contains(" style="), "{path}");
                assert!(!text.contains(" onclick="), "{path}");
                let mut scripts = text.split("<script").skip(1);
                assert!(
                    scripts.all(|script| script.contains("></script>")),
                    "{path}"
                );
                assert!(!text.contains("src=\"http"), "{path}");
            }
        }
        assert!(documents > 10);
    }

    #[test]
    fn every_file_that_the_page_names_is_there() {
        for asset in ASSETS
            .iter()
            .filter(|asset| !asset.path.starts_with("/vendor/"))
        {
            let text = String::from_utf8(asset.plain().unwrap()).unwrap();
            for before in [
                "from \"",
                "import(\"",
                "src=\"/",
                "rel=\"modulepreload\" href=\"",
            ] {
                for named in text.split(before).skip(1) {
                    let named = named.split('"').next().unwrap();
                    let named = match before {
                        "src=\"/" => format!("/{named}"),
                        _ => resolve(asset.path, named),
                    };
                    assert!(find(&named).is_some(), "{} names {named}", asset.path);
                }
            }
        }
    }

    fn resolve(from: &str, named: &str) -> String {
        if named.starts_with('/') {
            return named.to_owned();
        }
        let mut parts: Vec<_> = from.split('/').collect();
        parts.pop();
        for part in named.split('/') {
            match part {
                "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        parts.join("/")
    }

    #[test]
    fn links_of_the_guide_lead_to_pages() {
        for asset in ASSETS
            .iter()
            .filter(|asset| asset.path.starts_with("/guide/"))
        {
            let text = String::from_utf8(asset.plain().unwrap()).unwrap();
            for link in text.split("href=\"/").skip(1) {
                let link = link.split(['"', '#']).next().unwrap();
                assert!(
                    find(&format!("/{link}")).is_some(),
                    "{}: /{link}",
                    asset.path
                );
            }
        }
    }

    #[test]
    fn vendored_files_are_those_of_npm() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/vendor");
        let listed = std::fs::read_to_string(format!("{dir}/README.md")).unwrap();
        let mut rows = 0;
        for row in listed.lines().filter(|line| line.starts_with("| ")) {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let (file, digest) = (cells[1], cells[6]);
            if digest.len() != 64 {
                continue;
            }
            let summed = std::process::Command::new("sha256sum")
                .arg(format!("{dir}/{file}"))
                .output()
                .unwrap();
            let summed = String::from_utf8(summed.stdout).unwrap();
            assert!(summed.starts_with(digest), "{file}: {summed}");
            rows += 1;
        }
        assert_eq!(rows, 5);
    }
}
