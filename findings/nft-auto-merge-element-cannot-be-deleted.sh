#!/bin/sh
# Whether an element of an nftables set can be deleted after auto-merge joined it with a neighbour
# (nftables 1.0.6 of Debian 12, Linux 6.18).
#
# A good guess: what was added can be deleted by the same text; the merged range is cut where
# needed. Seen: `delete element` fails with "element does not exist", whether the neighbours were
# added in one command or in two, and the set stays as it was. Only the merged range as a whole can
# be deleted, so that who deletes has to look up first what the element has become.
#
# Output seen:
#   added:                        192.0.2.7 and 192.0.2.8
#   listed:                       192.0.2.7-192.0.2.8
#   delete 192.0.2.8:             Error: element does not exist
#   delete 192.0.2.7-192.0.2.8:   done
#
# Needs root and apt. Exits with 1 if the behaviour is another, 2 if it cannot be tried.
set -eu
[ "$(id -u)" = 0 ] || { echo "run as root" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q nftables=1.0.6-2+deb12u2 libnftables1=1.0.6-2+deb12u2 >/dev/null 2>&1 ||
    { echo "these packages cannot be had" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH="$folder/root/usr/lib/$(uname -m)-linux-gnu"
export PATH="$folder/root/usr/sbin:$PATH"
uname -r
nft --version
cat >script <<'SH'
set -eu
elements() { nft list set ip t bans | sed -n 's/.*elements = { \(.*\) }/\1/p'; }
delete() { nft "delete element ip t bans { $1 }" 2>&1 | sed -n 's/^Error: .*element does not exist.*/Error: element does not exist/p' | grep . || echo done; }
nft 'add table ip t; add set ip t bans { type ipv4_addr; flags interval; auto-merge; }'
nft 'add element ip t bans { 192.0.2.7 }'
nft 'add element ip t bans { 192.0.2.8 }'
listed=$(elements)
one=$(delete 192.0.2.8)
between=$(elements)
both=$(delete 192.0.2.7-192.0.2.8)
after=$(elements)
echo "added:                        192.0.2.7 and 192.0.2.8"
echo "listed:                       $listed"
echo "delete 192.0.2.8:             $one"
echo "delete 192.0.2.7-192.0.2.8:   $both"
[ "$listed" = "192.0.2.7-192.0.2.8" ] && [ "$between" = "$listed" ] && [ -z "$after" ] &&
    [ "$one" = "Error: element does not exist" ] && [ "$both" = done ]
SH
unshare --net sh script
