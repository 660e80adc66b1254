import type { problems as English } from '../problems';
import { problemsIn } from '../translating';

export const problems: typeof English = problemsIn({
  sentences: {
    agents_not_granted:
      'Esta conversación se comparte contigo, pero no para preguntar en ella a los asistentes.',
    already_linked: 'La cuenta ya está vinculada a una identidad; desvincúlala primero.',
    already_taken: 'El nombre de usuario o el correo ya está en uso.',
    attachment_limit_reached: 'Tus archivos ocuparían en conjunto más de lo permitido.',
    authentication_required: 'Inicia sesión.',
    auto_approval_not_permitted: 'Tu rol no puede dejar que una regla apruebe esta herramienta.',
    batch_in_progress: 'Otra acción tuya está en curso; espera a que termine o cancélala.',
    being_erased: 'La cuenta se está eliminando; ya no se puede cambiar nada en ella.',
    busy: 'Demasiados cambios a la vez; inténtalo de nuevo en un momento.',
    category_not_empty: 'Esta categoría contiene otras; elimínalas o muévelas primero.',
    category_taken: 'Ya hay una categoría con ese nombre en el mismo lugar.',
    changed_meanwhile: 'La conversación ha cambiado mientras tanto.',
    claim_in_use: 'Otro grupo ya tiene este valor.',
    claims_off: 'Aquí nadie inicia sesión con un proveedor de identidad.',
    command_settled: 'Sobre esta llamada ya se decidió otra cosa.',
    command_superseded: 'La conversación ha continuado desde entonces.',
    content_unreadable: 'El contenido guardado no se puede abrir.',
    conversation_archived: 'La conversación está archivada; desarchívala primero.',
    cookie_withheld:
      'Tu navegador no envía aquí la cookie de sesión; llama al servicio con el nombre de host de esta página.',
    daily_limit_reached: 'Has agotado tu límite de hoy; mañana (UTC) se renueva.',
    export_in_progress:
      'Ya se está preparando una exportación tuya; espera a que termine o elimínala.',
    group_not_found: 'Este grupo no existe, o no eres miembro.',
    held: 'La cuenta está bajo retención legal; se podrá eliminar cuando se levante.',
    idempotency_key_reused: 'Esta acción ya se envió antes con otro contenido. Inténtalo de nuevo.',
    identity_provider_unavailable:
      'No se puede contactar con el proveedor de identidad. Inténtalo dentro de poco.',
    import_broke_off: 'La importación se interrumpió demasiadas veces; lo importado se conserva.',
    insufficient_grant: 'La conversación está compartida contigo, pero no para esto.',
    internal_error: 'Algo ha fallado por nuestra parte.',
    invalid_credentials: 'El nombre de usuario o la contraseña no es correcto.',
    invalid_identity: 'La respuesta del proveedor de identidad no prueba quién eres.',
    invalid_token: 'El código es incorrecto, ya se usó o ha caducado; pide otro.',
    keys_unavailable:
      'Las claves de datos de esta cuenta no se pueden abrir ahora; no se ha hecho nada.',
    last_administrator: 'Es la última cuenta de administrador abierta; da antes ese rol a otra.',
    link_password_required: 'Este enlace tiene contraseña.',
    link_sign_in_required:
      'Este enlace muestra la conversación según crece; inicia sesión para abrirlo.',
    link_too_long: 'La conversación es demasiado larga para un enlace.',
    links_off: 'Los enlaces públicos están desactivados aquí.',
    malformed: 'La solicitud no se puede leer.',
    mcp_not_enabled: 'Las herramientas están desactivadas en esta conversación; actívalas antes.',
    mcp_server_unavailable: 'Ahora no se puede acceder al servidor de esta herramienta.',
    message_id_taken: 'Otro mensaje de esta conversación tiene este identificador.',
    message_unreadable:
      'El mensaje guardado no se puede leer, así que no se puede cambiar; sí se puede eliminar.',
    model_failed: 'El modelo no ha podido responder; tu mensaje está guardado.',
    model_nonsense:
      'La respuesta del proveedor del modelo no se puede leer; tu mensaje está guardado.',
    model_not_configured: 'No hay ningún modelo configurado, así que nadie puede responder.',
    model_rate_limited:
      'El proveedor del modelo está saturado; tu mensaje está guardado, pregunta más tarde.',
    model_refused:
      'El proveedor del modelo ha rechazado la petición; el operador debería revisar su configuración.',
    model_stream_broken: 'La respuesta del modelo se cortó; lo que hay de ella se conserva.',
    model_timed_out: 'El modelo ha tardado demasiado; tu mensaje está guardado.',
    model_unavailable:
      'No se puede acceder al proveedor del modelo, o ha fallado; tu mensaje está guardado.',
    no_password: 'La cuenta no tiene contraseña: sin su identidad nadie podría entrar en ella.',
    no_space: 'No hay espacio en el disco del servicio; inténtalo más tarde.',
    not_author: 'Solo quien escribió la nota puede cambiarla.',
    not_found: 'No existe o no es tuyo.',
    not_last_answer:
      'Solo se puede responder de nuevo el último mensaje, y solo si es del asistente.',
    not_manager: 'Solo pueden hacerlo los gestores del grupo y su propietario, o únicamente este.',
    not_undoable: 'Una eliminación definitiva no se puede deshacer.',
    nothing_to_answer: 'No hay ningún mensaje que responder de nuevo.',
    outcome_unknown: 'La conexión se cortó al guardar; el cambio puede haberse guardado o no.',
    passwords_off: 'Aquí no se inicia sesión con contraseña; usa el proveedor de identidad.',
    pdf_failed: 'No se ha podido crear el PDF; exporta como HTML, que también se imprime.',
    pdf_not_installed: 'Este servicio no crea PDF: typst no está instalado.',
    permission_denied: 'No puedes hacer esto.',
    precondition_required:
      'La conversación tiene más de lo que se ve. Vuelve a cargarla y repite el cambio.',
    registration_closed: 'El registro está cerrado; pide una cuenta a administración.',
    reply_in_progress:
      'Se está escribiendo una respuesta en esta conversación; espera a que termine o detenla.',
    reply_interrupted:
      'El servicio se detuvo mientras se escribía la respuesta; lo que hay de ella se conserva.',
    reply_not_continued:
      'La respuesta no pudo continuar tras las herramientas; envía un mensaje nuevo.',
    reply_under_way:
      'En la rama que se muestra hay una respuesta en curso o una decisión pendiente.',
    service_account: 'Esta cuenta es de un programa, no de una persona.',
    session_required: 'Esto requiere una sesión iniciada; no basta con una clave de API.',
    sign_in_again:
      'Tu cuenta no tiene contraseña: vuelve a iniciar sesión y repite esto antes de diez minutos.',
    stale_version: 'Ha cambiado desde que lo leíste; léelo otra vez y repite tu cambio.',
    storage_full: 'Tu espacio está lleno; elimina algo primero, también de la papelera.',
    stored_not_shown: 'El cambio se ha guardado, pero ahora no se puede mostrar.',
    token_limit_reached: 'La conversación ha agotado sus tokens.',
    too_many_api_keys: 'Tienes todas las claves de API permitidas; revoca una primero.',
    too_many_commands: 'Este mensaje tiene todas las llamadas permitidas; envía otro.',
    too_many_connections: 'Esta dirección tiene demasiadas conexiones.',
    too_many_grants: 'Esta conversación ya está compartida con todas las personas permitidas.',
    too_many_group_grants:
      'La conversación se comparte ya con 20 grupos, o con este grupo 1.000 conversaciones.',
    too_many_groups: 'Tienes 100 grupos; elimina uno antes.',
    too_many_links: 'Tienes todos los enlaces públicos permitidos; revoca uno primero.',
    too_many_members: 'El grupo tiene 200 miembros; quita a uno antes.',
    too_many_notes: 'Esta conversación ya tiene todas las notas permitidas.',
    too_many_requests: 'Demasiados intentos; prueba más tarde.',
    too_many_rounds: 'El modelo pidió herramientas demasiadas veces; envía un mensaje nuevo.',
    too_many_streams: 'Tienes demasiadas conexiones abiertas; cierra alguna pestaña.',
    too_many_tags: 'La conversación tendría más de 64 etiquetas.',
    too_many_templates: 'Tienes 200 plantillas; elimina una antes.',
    too_many_to_sort:
      'Los títulos están sellados y son demasiados para ordenarlos; elige otro orden.',
    too_slow: 'La solicitud no llegó a tiempo.',
    too_many_to_user:
      'Ya compartes 200 conversaciones con esta persona; comparte más con un grupo de ambos.',
    tool_not_found: 'No tienes ninguna regla para esta herramienta.',
    tool_not_permitted: 'Tu rol no puede usar esta herramienta.',
    unavailable: 'El servicio no puede hacerlo ahora; inténtalo de nuevo en un momento.',
    under_hold: 'Una retención legal lo protege de la eliminación definitiva.',
    unknown_parent: 'El mensaje al que esto sigue ya no está en la conversación.',
    upload_busy: 'Se está recibiendo otra parte de este archivo.',
    upload_elsewhere: 'Otra máquina tiene el principio de este archivo; súbelo de nuevo.',
    upload_in_use: 'Una importación usa este archivo; cancélala antes.',
    upload_incomplete: 'El archivo aún no se ha subido por completo.',
    upload_missing: 'El archivo subido ya no está; súbelo de nuevo.',
    user_not_found: 'Esa persona no existe aquí.',
    wrong_link_password: 'Esta no es la contraseña del enlace.',
    wrong_offset: 'La subida se ha interrumpido en otro punto; inténtalo de nuevo.',
  },
  leads: {
    conflict: 'Esto contradice lo que está guardado: ',
    import_rejected: 'El archivo no se puede importar: ',
    invalid_input: 'Así no se puede aceptar: ',
    invalid_query: 'La búsqueda no se puede leer: ',
    too_large: 'Es demasiado grande: ',
  },
  fields: {
    email: () => 'No es una dirección de correo válida.',
    greater_than_equal: (limit) => `Como mínimo ${limit}.`,
    less_than_equal: (limit) => `Como máximo ${limit}.`,
    missing: () => 'Este campo es obligatorio.',
    name_characters: () => 'Un nombre no lleva caracteres de control ni saltos de línea.',
    password_too_long: () => 'La contraseña es demasiado larga.',
    string_too_long: (limit) => `Como máximo ${limit} caracteres.`,
    string_too_short: (limit) =>
      limit === '1' ? 'Este campo es obligatorio.' : `Al menos ${limit} caracteres.`,
    username_characters: () => 'El nombre de usuario tiene caracteres no permitidos.',
    username_id: () => 'El nombre de usuario no debe parecer un identificador.',
    username_scripts: () =>
      'El nombre de usuario debe usar un solo alfabeto, por ejemplo solo letras latinas.',
  },
  limits: {
    reads_per_minute:
      'Has leído todo lo que puedes en un minuto. Prueba de nuevo dentro de un minuto.',
    writes_per_minute:
      'Has cambiado todo lo que puedes en un minuto. Prueba de nuevo dentro de un minuto.',
    searches_per_minute:
      'Has buscado tantas veces como puedes en un minuto. Prueba de nuevo dentro de un minuto.',
    exports_per_minute:
      'Has exportado tantas veces como puedes en un minuto. Prueba de nuevo dentro de un minuto.',
    messages_per_day:
      'Has escrito todos los mensajes que puedes hoy. Habrá más después de medianoche (UTC).',
    tokens_per_day:
      'Tus tokens de hoy se han agotado, así que los modelos no te responden. Habrá más después de medianoche (UTC).',
    stored_bytes:
      'Tus mensajes ocupan todo el espacio que puedes tener. Elimina algunos y vacía la papelera, o pide más a un administrador.',
  },
});
