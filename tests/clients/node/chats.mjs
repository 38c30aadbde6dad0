// Chats that nobody names. Two people with a key each say the same, and are answered the same.

import { BASE_URL, require } from './transcript.mjs';

const OpenAI = require('openai');
const Anthropic = require('@anthropic-ai/sdk');
const QUESTIONS = ['Hello', 'How far is the moon?', 'And the sun?'];

async function openai(apiKey) {
  const client = new OpenAI({ baseURL: BASE_URL + '/v1', apiKey });
  const messages = [{ role: 'system', content: 'Be brief.' }];
  for (const content of QUESTIONS) {
    messages.push({ role: 'user', content });
    messages.push((await client.chat.completions.create({ model: 'plain', messages })).choices[0].message);
  }
}

async function anthropic(apiKey) {
  const client = new Anthropic({ baseURL: BASE_URL, apiKey });
  const messages = [];
  for (const content of QUESTIONS) {
    messages.push({ role: 'user', content });
    const stream = client.messages.stream({ model: 'plain', max_tokens: 99, messages });
    messages.push({ role: 'assistant', content: (await stream.finalMessage()).content });
  }
}

for (const [talk, key] of [
  [openai, process.env.OPENAI_API_KEY],
  [anthropic, process.env.ANTHROPIC_API_KEY],
]) {
  await talk(key);
  await talk(key + '-of-another');
}
console.log('complete');
