// Anthropic's SDK meets a failure of the proxy itself.

import { BASE_URL, require } from './transcript.mjs';

const Anthropic = require('@anthropic-ai/sdk');
const client = new Anthropic({ baseURL: BASE_URL, maxRetries: 0 });
await client.models.list().catch((error) => {
  console.log(error.constructor.name, error.status, error.headers.get('x-perimeter-error'));
  console.log(error.error.error.message);
});
console.log('complete');
