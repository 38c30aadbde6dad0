// OpenAI's SDK meets a failure of the proxy itself.

import { BASE_URL, require } from './transcript.mjs';

const OpenAI = require('openai');
const client = new OpenAI({ baseURL: BASE_URL + '/v1', maxRetries: 0 });
await client.models.list().catch((error) => {
  console.log(error.constructor.name, error.status, error.headers.get('x-perimeter-error'));
  console.log(error.error.message);
});
console.log('complete');
