//! Which connections a process holds.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::SocketAddr;

/// How many connections of a process to this address are established, as `/proc` tells.
pub(super) fn connected(pid: u32, to: SocketAddr) -> io::Result<usize> {
    let mut own = HashSet::new();
    for descriptor in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // It may have been closed since the folder was read.
        let Ok(link) = fs::read_link(descriptor?.path()) else { continue };
        own.extend(inode(&link.to_string_lossy()));
    }
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp"))?;
    Ok(established(&table, to.port()).filter(|inode| own.contains(inode)).count())
}

/// `socket:[1234]`
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The inodes of the connections that lead to this port, by the table of `proc_pid_net(5)`.
fn established(table: &str, port: u16) -> impl Iterator<Item = u64> {
    const ESTABLISHED: &str = "01";
    table.lines().filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let (remote, state) = (fields.next()?, fields.next()?);
        let (_, remote) = remote.rsplit_once(':')?;
        let leads_there = state == ESTABLISHED && u16::from_str_radix(remote, 16).ok()? == port;
        leads_there.then(|| fields.nth(5)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_counted_while_they_are_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let here = || connected(std::process::id(), address).unwrap();
        assert_eq!(here(), 0);
        let clients: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert_eq!(here(), 3);
        drop(clients);
        assert_eq!(here(), 0);
    }

    #[test]
    fn only_established_connections_to_the_port_count() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0FA0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1
   1: 0100007F:9C40 0100007F:0FA0 01 00000000:00000000 00:00000000 00000000     0        0 12 1
   2: 0100007F:9C41 0100007F:0FA0 08 00000000:00000000 00:00000000 00000000     0        0 13 1
   3: 0100007F:9C42 0100007F:0FA1 01 00000000:00000000 00:00000000 00000000     0        0 14 1
";
        assert_eq!(established(table, 0x0FA0).collect::<Vec<_>>(), [12]);
        assert_eq!(inode("socket:[77]"), Some(77));
        assert_eq!(inode("anon_inode:[eventpoll]"), None);
    }
}
