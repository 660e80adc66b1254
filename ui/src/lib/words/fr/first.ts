export * from './assistants';
export * from './composer';
export * from './identity';
export * from './notes';
export * from './page';
export * from './people';
export * from './thread';
