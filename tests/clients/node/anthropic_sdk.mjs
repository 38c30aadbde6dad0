// Anthropic's SDK: every way of calling, every way of failing.

import { attempt, awaitLeaving, BASE_URL, headers, require, seen, tell } from './transcript.mjs';

const Anthropic = require('@anthropic-ai/sdk');
const client = new Anthropic({ baseURL: BASE_URL });
const messages = [{ role: 'user', content: 'Grüße, 世界 👋' }];
const asked = (model, more) => ({ model, max_tokens: 100, messages, ...more });
const message = (model, more, options) => client.messages.create(asked(model, more), options);

async function each(name, stream, after = () => {}) {
  let number = 0;
  for await (const piece of await stream) {
    tell(name, piece);
    await after(++number);
  }
}

// Whole answers.
tell('plain', await message('plain', { system: 'Be brief.', metadata: { user_id: 'u-1' } }));
const raw = await message('plain').asResponse();
tell('raw', [raw.status, raw.statusText, headers(raw), await raw.text()]);
tell('gzip', await message('gzip'));
const extras = { headers: { 'anthropic-beta': 'one-1,two-2', 'X-Mine': 'yes' }, query: { beta: 'true' } };
tell('extras', (await message('plain', {}, extras)).id);
const long = [{ role: 'user', content: 'long '.repeat(400_000) }];
tell('long question', (await message('plain', { messages: long })).id);
tell('tokens', await client.messages.countTokens({ model: 'plain', messages }));

// Streams: the events as they come, then through the SDK's own accumulation.
await each('paced', message('paced/raw', { stream: true }), (number) => seen('paced/raw', number));
const words = client.messages.stream(asked('plain'));
words.on('text', (text) => tell('word', text));
tell('accumulated', await words.finalMessage());
const tools = [{ name: 'weather', input_schema: { type: 'object' } }];
tell('tool use', await client.messages.stream(asked('tools', { tools })).finalMessage());
await attempt('failing', () => each('failing', message('failing', { stream: true })));
await attempt('cut', () => each('cut', message('cut', { stream: true })));
for await (const event of await message('left/early', { stream: true })) {
  tell('left', event);
  break;
}
await awaitLeaving('left/early');

// Compressed, as far as the client asks for it; and what should not have been said.
tell('compressed', await message('compressed'));
await each('compressed stream', message('compressed', { stream: true }));
const secret = [{ role: 'user', content: `Log in with ${process.env.SECRET}, please.` }];
tell('secret', (await message('plain', { messages: secret })).id);

// The rest of the API.
await each('models', client.models.list({ limit: 1 }));
await each('batch', client.messages.batches.results('batch_1'));
const data = Uint8Array.from({ length: 76_800 }, (_, n) => n % 256);
const file = await Anthropic.toFile(data, 'dätä.bin', { type: 'application/octet-stream' });
tell('upload', await client.files.upload({ file }));

// Failures, and what is tried again.
await attempt('bad request', () => message('bad-request'));
await attempt('unauthorized', () => message('unauthorized'));
await attempt('limited', () => message('limited', {}, { maxRetries: 1 }));
tell('overloaded once', (await message('overloaded-once')).id);
await attempt('never retry', () => message('never-retry'));
await attempt('no such thing', () => client.models.retrieve('nothing'));
await attempt('silent', () => message('silent/message', {}, { maxRetries: 0, timeout: 500 }));
await awaitLeaving('silent/message');
console.log('complete');
