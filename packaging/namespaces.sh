# An agent for another network namespace pins in a directory of the namespace's name. What it
# attached has to be detached from inside: a filter of clsact stays without pins.
for pins in /sys/fs/bpf/netpolicy/ns/*; do
    name="${pins##*/}"
    if [ -d "$pins" ] && [ -e "/run/netns/$name" ]; then
        NETPOLICY_CONFIG="/etc/netpolicy/$name.toml" \
            NETPOLICY_SOCKET="/run/netpolicy/$name/agent.sock" \
            NETPOLICY_STATE_DIR="/var/lib/netpolicy/$name" \
            NETPOLICY_BPFFS_DIR="$pins" \
            timeout 60 nsenter --net="/run/netns/$name" -- netpolicy detach --yes || :
    fi
done
