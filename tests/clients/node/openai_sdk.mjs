// OpenAI's SDK: every way of calling, every way of failing.

import { createHash } from 'node:crypto';
import { attempt, awaitLeaving, BASE_URL, headers, require, seen, tell } from './transcript.mjs';

const OpenAI = require('openai');
const client = new OpenAI({ baseURL: BASE_URL + '/v1', organization: 'org-1', project: 'proj_1' });
const messages = [{ role: 'user', content: 'Grüße, 世界 👋' }];
const chat = (model, more, options) => client.chat.completions.create({ model, messages, ...more }, options);

function digest(data) {
  return [data.byteLength, createHash('sha256').update(new Uint8Array(data)).digest('hex')];
}

async function each(name, stream, after = () => {}) {
  let number = 0;
  for await (const piece of await stream) {
    tell(name, piece);
    await after(++number);
  }
}

// Whole answers.
tell('plain', await chat('plain', { temperature: 0.5, seed: 7 }));
const raw = await chat('plain').asResponse();
tell('raw', [raw.status, raw.statusText, headers(raw), await raw.text()]);
tell('gzip', await chat('gzip'));
tell('long answer', digest(Buffer.from((await chat('long')).choices[0].message.content)));
const long = [{ role: 'user', content: 'a long question, '.repeat(200_000) }];
tell('long question', (await chat('plain', { messages: long })).id);
tell('extras', (await chat('plain', {}, { headers: { 'X-Mine': 'yes' }, query: { 'a b': 'c&d' } })).id);

// Compressed, as far as the client asks for it; and what should not have been said.
tell('compressed', await chat('compressed'));
await each('compressed stream', chat('compressed', { stream: true }));
const secret = [{ role: 'user', content: `Log in with ${process.env.SECRET}, please.` }];
tell('secret', (await chat('plain', { messages: secret })).id);

// Tools: a call, its result, an answer.
const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
const called = (await chat('tools', { tools })).choices[0].message;
tell('tool call', called);
const result = { role: 'tool', tool_call_id: called.tool_calls[0].id, content: '7 °C' };
tell('tool result', await chat('tools', { messages: [...messages, called, result] }));

// Streams.
const usage = { stream: true, stream_options: { include_usage: true } };
await each('paced', chat('paced/chat', usage), (number) => seen('paced/chat', number));
await each('streamed tools', chat('tools', { stream: true, tools }));
await each('torn', chat('torn', { stream: true }));
await attempt('cut', () => each('cut', chat('cut', { stream: true })));
await attempt('short', () => chat('short', {}, { maxRetries: 0 }));
for await (const chunk of await chat('left/early', { stream: true })) {
  tell('left', chunk);
  break;
}
await awaitLeaving('left/early');

// The Responses API.
tell('response', await client.responses.create({ model: 'plain', input: 'Grüße' }));
const events = client.responses.create({ model: 'paced/response', input: 'Grüße', stream: true });
await each('response event', events, (number) => seen('paced/response', number));
tell('response deleted', (await client.responses.delete('resp_1')) ?? null);

// The rest of the API.
tell('embeddings', await client.embeddings.create({ model: 'embed', input: ['a', 'b'] }));
tell('models', (await client.models.list()).data);
const data = Uint8Array.from({ length: 76_800 }, (_, n) => n % 256);
const file = await OpenAI.toFile(data, 'dätä.bin', { type: 'application/octet-stream' });
tell('upload', await client.files.create({ file, purpose: 'user_data' }));
tell('download', digest(await (await client.files.content('file-1')).arrayBuffer()));
tell('redirect', await client.files.retrieve('moved'));
tell('delete', await client.files.delete('file-1'));
const speech = await client.audio.speech.create({ model: 'tts', voice: 'alloy', input: 'Hello' });
tell('speech', [headers(speech), digest(await speech.arrayBuffer())]);

// Failures, and what is tried again.
await attempt('bad request', () => chat('bad-request'));
await attempt('unauthorized', () => chat('unauthorized'));
await attempt('limited', () => chat('limited', {}, { maxRetries: 1 }));
tell('limited once', (await chat('limited-once')).id);
tell('broken once', (await chat('broken-once')).id);
await attempt('no JSON', () => chat('teapot'));
await attempt('no such thing', () => client.models.retrieve('nothing'));
await attempt('silent', () => chat('silent/chat', {}, { maxRetries: 0, timeout: 500 }));
await awaitLeaving('silent/chat');
console.log('complete');
