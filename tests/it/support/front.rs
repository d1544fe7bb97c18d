//! One address in front of several operators, as a Service is: where the test points it, connections go.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// One address in front of several operators.
pub struct Front {
    target: Arc<Mutex<SocketAddr>>,
    task: AbortHandle,
}

impl Front {
    /// Listens at an address and passes connections on to a target.
    pub async fn start(at: SocketAddr, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let target = Arc::new(Mutex::new(target));
        let chosen = target.clone();
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut from, peer)) = listener.accept().await {
                let target = *chosen.lock().unwrap();
                open.spawn(async move {
                    if let Ok(mut to) = connect(peer, target).await {
                        let _ = copy_bidirectional(&mut from, &mut to).await;
                    }
                });
                while open.try_join_next().is_some() {}
            }
        });
        Self { target, task: task.abort_handle() }
    }

    /// New connections go there.
    pub fn point_at(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }
}

/// Boxes of the simulator are known by their address, so it stays the same on the other side.
async fn connect(peer: SocketAddr, target: SocketAddr) -> io::Result<TcpStream> {
    if !(peer.is_ipv4() && peer.ip().is_loopback() && target.ip().is_loopback()) {
        return TcpStream::connect(target).await;
    }
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(peer.ip(), 0))?;
    socket.connect(target).await
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}
