//! netpolicy: named network policies for database hosts, enforced at the NIC.
