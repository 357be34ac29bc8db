// A webtorrent client that is told what to do over HTTP, with the library's own server as the gateway.
//
//   node webtorrent_peer.mjs LIBRARY PEER_PORT CONTROL_PORT GATEWAY_PORT
import http from 'node:http'

const [library, peerPort, controlPort, gatewayPort] = process.argv.slice(2)
const { default: WebTorrent } = await import(library)
const options = { torrentPort: Number(peerPort), dht: false, lsd: false, utp: false, natUpnp: false, natPmp: false, webSeeds: false }
const client = new WebTorrent(options)
client.on('error', error => { console.error(error); process.exit(1) })
client.createServer().listen(Number(gatewayPort), '127.0.0.1')

http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost')
  if (request.method === 'GET') {
    const torrent = client.torrents[0]
    response.end(JSON.stringify({ done: Boolean(torrent?.done), received: torrent?.received ?? 0 }))
    return
  }
  const parts = []
  request.on('data', part => parts.push(part))
  request.on('end', () => {
    client.add(Buffer.concat(parts), { path: url.searchParams.get('folder'), strategy: 'sequential' }, () => response.end('{}'))
  })
}).listen(Number(controlPort), '127.0.0.1')
