import { translated } from './translated';

/** English of assistants: their page, and the preview of what one is asked. */
const english = {
  title: 'Assistants',
  text: 'An assistant says with which model, instructions and limits a conversation is answered.',
  new: 'New assistant',
  builtIn: 'Built in',
  shared: 'Shared with everybody',
  byAdmin: 'Offered by an administrator',
  name: 'Name',
  provider: 'Provider',
  providerDefault: (name: string) => `Default (${name})`,
  model: 'Model',
  modelHint: 'Empty: the provider’s own.',
  instructions: 'Instructions',
  instructionsHint: 'What the model is told before each conversation.',
  temperature: 'Temperature',
  temperatureHint: '0 is steady, 2 is wild. Empty: the provider’s own.',
  maxTokens: 'Tokens in a conversation',
  history: 'Messages of history',
  memory: 'Remember the conversation',
  memoryHint: 'Off: the model is shown the newest message alone.',
  summaries: 'Summarise behind the answers',
  tools: 'Tools',
  allTools: 'All tools that your role may use',
  share: 'Offer it to everybody',
  deleteTitle: 'Delete this assistant?',
  deleteText: (name: string) =>
    `“${name}” is deleted. Its conversations stay, and are answered again once they name another.`,
  preview: 'What would be sent',
  previewText: 'Exactly what the model would be shown with the next message. Nothing is sent.',
  previewTokens: (tokens: string, left: string) => `${tokens} tokens; ${left} left for the answer`,
  previewLeftOut: (count: string) => `${count} older messages are left out`,
  previewSummary: 'a summary stands in for them',
  noModel: 'No model is configured.',
  start: 'New conversation with it',
};
export const inAssistants = translated('inAssistants', english);
