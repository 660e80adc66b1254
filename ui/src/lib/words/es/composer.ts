import type { inComposer as English } from '../composer';

export const inComposer: typeof English = {
  files: {
    choose: 'Adjuntar archivos',
    label: 'Archivos que se enviarán',
    unnamed: 'archivo',
    remove: (name) => `Quitar ${name}`,
    sending: (name) => `Enviando ${name}`,
    stop: 'Detener el envío de archivos',
    drop: 'Suelta archivos para adjuntarlos',
    unread: 'Los archivos se guardan con el mensaje. El asistente no los lee.',
    needsWords: 'Escribe un mensaje para enviarlos.',
    tooLarge: (name, most) => `${name} supera los ${most} MB.`,
    tooMany: (most) => `Un mensaje muestra como máximo ${most} archivos.`,
  },
};
