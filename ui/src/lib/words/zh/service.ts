export * from './log';
export * from './problems';
export * from './reasons';
