//! `fleet init` and `fleet join`: keys, users and roles of etcd, the first records.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use etcd_client::{Permission, UserAddOptions};
use jiff::Timestamp;
use netpolicy_fleet::{
    FleetKey, FleetName, Group, GroupName, HostId, HostSpec, Keyring, Labels, most_specific,
};

use super::etcd::EtcdError;
use super::operator::Operator;
use super::push::is_sound;
use super::settings::{Settings, secret};
use super::sign::{Signer, trust};
use super::snapshot::Snapshot;

/// The group of hosts that no other asks for.
const DEFAULT_GROUP: &str = "default";

/// Seconds until a host rolls an unconfirmed revision back, unless the group says otherwise.
pub(crate) const CONFIRM_WITHIN: u32 = 60;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Make the operator's key without a password
    #[arg(long)]
    without_password: bool,
    /// Leave users and roles of etcd alone
    #[arg(long)]
    without_roles: bool,
    /// A source and local port that every revision has to admit; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT")]
    must_admit: Vec<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// The hosts' names in the fleet
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<HostId>,
    /// A label of the hosts; may be repeated
    #[arg(long, value_name = "LABEL=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// Leave users and roles of etcd alone
    #[arg(long)]
    without_roles: bool,
}

/// A label and its value.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let expected = || format!("'{text}': expected LABEL=VALUE");
    let (label, value) = text.split_once('=').ok_or_else(expected)?;
    if label.is_empty() || value.is_empty() {
        return Err(expected());
    }
    Ok((label.to_owned(), value.to_owned()))
}

/// Makes the key if there is none, the first group, and the operators' role.
///
/// # Errors
/// In words.
pub(crate) async fn init(path: &Path, args: InitArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let settings = Settings::read(path)?;
    let keys = key(&settings, args.without_password, &mut out)?;
    let mut operator = Operator::with(settings, keys).await?;
    let snapshot = operator.snapshot().await?;
    is_sound(&snapshot)?;
    let name: GroupName = DEFAULT_GROUP.parse()?;
    if snapshot.groups.contains_key(&name) {
        writeln!(out, "fleet {} is there already", operator.fleet())?;
    } else {
        let group = Group {
            fleet: operator.fleet().clone(),
            group: name.clone(),
            counter: snapshot.next_counter(),
            selector: Labels::new(),
            pinned: None,
            must_admit: args.must_admit,
            confirm_within: CONFIRM_WITHIN,
            author: operator.author.clone(),
            time: Timestamp::now(),
        };
        operator.write(&FleetKey::Group(name), &group, 0).await?;
        writeln!(
            out,
            "fleet {} made, with group {DEFAULT_GROUP}",
            operator.fleet()
        )?;
    }
    if !args.without_roles {
        let all = operator.layout.prefix().to_owned();
        let permissions = [Permission::read_write(all.as_str()).with_prefix()];
        let user = format!("operator@{}", operator.fleet());
        role(&operator, &user, &permissions, &mut out).await?;
    }
    writeln!(out, "next: `netpolicy fleet join NAME` for each host")?;
    Ok(())
}

/// The keys that are trusted; the operator's is made if there is none yet.
fn key(settings: &Settings, plain: bool, out: &mut impl std::io::Write) -> anyhow::Result<Keyring> {
    let path = settings.secret_key.as_deref().context(
        "secret_key: not set in the settings, expected where the operator's key is to be",
    )?;
    let public = if path.exists() {
        Signer::read(settings)?.public()?
    } else {
        let file = settings.secret_key_password_file.as_deref();
        let password = file.map(secret).transpose()?;
        let password = password.map(|password| password.trim_end_matches('\n').to_owned());
        let public = Signer::create(path, password, plain)?;
        writeln!(out, "operator's key made: {}", path.display())?;
        public
    };
    let name = settings.fleet.to_string();
    let there = settings.keyring().ok();
    let mut own = Keyring::default();
    own.add(&name, &public)?;
    if let Some(keys) = there
        && keys.trusts_all_of(&own)
    {
        return Ok(keys);
    }
    trust(settings, &name, &public)?;
    writeln!(
        out,
        "public key: {}\n  it has to be there on each host",
        settings.keys.join(format!("{name}.pub")).display()
    )?;
    Ok(settings.keyring()?)
}

/// Makes a role and a user of the same name, who logs in by a certificate with that CN.
async fn role(
    operator: &Operator,
    user: &str,
    permissions: &[Permission],
    out: &mut impl std::io::Write,
) -> anyhow::Result<()> {
    let etcd = &operator.etcd;
    let mut client = etcd.client.clone();
    let there = |error: &EtcdError| error.to_string().contains("already exists");
    let made = async {
        match etcd.within(client.role_add(user)).await {
            Err(error) if !there(&error) => return Err(error),
            _ => {}
        }
        for permission in permissions {
            let grant = client.role_grant_permission(user, permission.clone());
            etcd.within(grant).await?;
        }
        let options = UserAddOptions::new().with_no_pwd();
        match etcd.within(client.user_add(user, "", Some(options))).await {
            Err(error) if !there(&error) => return Err(error),
            _ => {}
        }
        etcd.within(client.user_grant_role(user, user)).await
    };
    match made.await {
        Ok(_) => writeln!(
            out,
            "etcd's user and role {user}: log in by a certificate with CN={user}, or set a password with \
             `etcdctl user passwd`; they count once `etcdctl auth enable` was run"
        )?,
        Err(EtcdError::Denied { why, .. }) => writeln!(
            out,
            "warning: etcd's user and role {user} were not made: {why}\n\
             hint: repeat it with the settings of etcd's root, or with --without-roles"
        )?,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The group for these labels, by the fleet's groups.
///
/// # Errors
/// There is none.
pub(crate) fn group_for(snapshot: &Snapshot, labels: &Labels) -> anyhow::Result<GroupName> {
    let groups = snapshot.groups.values().map(|group| &group.record);
    let group = most_specific(groups, labels).context(
        "no group asks for this host\nhint: `netpolicy fleet init` makes the group of all others",
    )?;
    Ok(group.group.clone())
}

/// Signs a host's record.
pub(crate) async fn write_spec(
    operator: &mut Operator,
    snapshot: &Snapshot,
    host: &HostId,
    labels: Labels,
    counter: u64,
) -> anyhow::Result<GroupName> {
    let group = group_for(snapshot, &labels)?;
    let written = snapshot.hosts.get(host).and_then(|host| host.spec.as_ref());
    let written = written.map_or(0, |spec| spec.written);
    let spec = HostSpec {
        fleet: operator.fleet().clone(),
        host: host.clone(),
        group: group.clone(),
        counter,
        labels,
        author: operator.author.clone(),
        time: Timestamp::now(),
    };
    let key = FleetKey::Spec(host.clone());
    operator.write(&key, &spec, written).await?;
    Ok(group)
}

/// Makes a host one of the fleet.
///
/// # Errors
/// In words.
pub(crate) async fn join(mut operator: Operator, args: JoinArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let snapshot = operator.snapshot().await?;
    is_sound(&snapshot)?;
    for host in &args.hosts {
        let there = snapshot.hosts.get(host);
        let spec = there.and_then(|there| there.spec.as_ref());
        anyhow::ensure!(
            spec.is_none(),
            "host {host} is in fleet {} already\n\
             hint: `netpolicy fleet label {host} LABEL=VALUE` sets labels",
            operator.fleet()
        );
    }
    let labels: BTreeMap<_, _> = args.label.into_iter().collect();
    for (host, counter) in args.hosts.iter().zip(snapshot.next_counter()..) {
        let labels = labels.clone();
        let group = write_spec(&mut operator, &snapshot, host, labels, counter).await?;
        writeln!(out, "host {host} is of group {group}")?;
        let user = format!("{host}@{}", operator.fleet());
        if !args.without_roles {
            let layout = &operator.layout;
            let own = [
                FleetKey::Status(host.clone()),
                FleetKey::Alive(host.clone()),
            ];
            let mut permissions = vec![Permission::read(layout.prefix()).with_prefix()];
            permissions.extend(own.map(|key| Permission::read_write(layout.key(&key))));
            role(&operator, &user, &permissions, &mut out).await?;
        }
        let settings = settings_for(operator.fleet(), host, &operator.settings);
        writeln!(out, "\n# /etc/netpolicy/fleet.toml on {host}\n{settings}")?;
    }
    Ok(())
}

fn settings_for(fleet: &FleetName, host: &HostId, of: &Settings) -> String {
    let quoted = |urls: &[String]| {
        let urls: Vec<_> = urls.iter().map(|url| format!("\"{url}\"")).collect();
        urls.join(", ")
    };
    let mut text = format!(
        "fleet = \"{fleet}\"\nhost = \"{host}\"\nendpoints = [{}]\n",
        quoted(&of.endpoints)
    );
    if !of.mirror.is_empty() {
        text.push_str(&format!("mirror = [{}]\n", quoted(&of.mirror)));
    }
    if of.endpoints.iter().any(|url| url.starts_with("https://")) {
        text.push_str(&format!(
            "ca = \"/etc/netpolicy/fleet/ca.pem\"\n\
             cert = \"/etc/netpolicy/fleet/client.pem\" # CN={host}@{fleet}\n\
             key = \"/etc/netpolicy/fleet/client.key\"\n"
        ));
    }
    text
}
