// A WebSocket client: text, binary, long messages, pings, subprotocols, closing from both sides.

import { once } from 'node:events';
import { BASE_URL, require, tell } from './transcript.mjs';

const WebSocket = require('ws');
const KEY = process.env.OPENAI_API_KEY;
const URL = BASE_URL.replace('http://', 'ws://');
const options = { headers: { Authorization: `Bearer ${KEY}` } };

const socket = new WebSocket(URL + '/v1/echo?model=a%20b', ['realtime', `openai-insecure-api-key.${KEY}`], options);
socket.on('upgrade', (answer) => tell('upgrade', [answer.statusCode, answer.statusMessage, answer.headers['x-mark']]));
const received = async () => (await once(socket, 'message')).map((part) => (Buffer.isBuffer(part) ? part.toString('latin1') : part));
// Listening before the connection stands: the greeting comes in the same packet as the 101.
tell('greeting', await received());
tell('chosen', socket.protocol);
for (const text of ['', 'short', 'wörld 👋', 'long '.repeat(50_000)]) {
  socket.send(text);
  tell('text', await received());
}
for (const data of [Buffer.alloc(0), Buffer.from([0, 255, 128]), Buffer.alloc(300_000, 'x')]) {
  socket.send(data);
  tell('binary', await received());
}
socket.ping('are you there');
tell('pong', (await once(socket, 'pong')).map(String));
socket.close(1000, 'enough');
tell('closed', (await once(socket, 'close')).map(String));

const other = new WebSocket(URL + '/v1/echo', options);
await once(other, 'message');
other.send('goodbye');
tell('last', (await once(other, 'message')).map(String));
tell('closed by the provider', (await once(other, 'close')).map(String));

const refused = new WebSocket(URL + '/plain/refused', options);
tell('refused', (await once(refused, 'error').catch((error) => [error.message])).map(String));
console.log('complete');
