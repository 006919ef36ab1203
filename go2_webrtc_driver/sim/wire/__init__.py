"""How the simulated robot talks: signaling, WebRTC, discovery, a cloud."""
