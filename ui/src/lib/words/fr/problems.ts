import type { problems as English } from '../problems';
import { problemsIn } from '../translating';

export const problems: typeof English = problemsIn({
  sentences: {
    agents_not_granted:
      'Cette conversation est partagée avec vous, mais pas pour y interroger des assistants.',
    already_linked: 'Le compte est déjà associé à une identité ; dissociez-la d’abord.',
    already_taken: 'Le nom d’utilisateur ou l’adresse e-mail est déjà pris.',
    attachment_limit_reached: 'Vos fichiers dépasseraient ensemble la taille permise.',
    authentication_required: 'Connectez-vous.',
    auto_approval_not_permitted:
      'Votre rôle ne permet pas de faire approuver cet outil par une règle.',
    batch_in_progress: 'Une autre de vos actions est en cours ; attendez sa fin ou annulez-la.',
    being_erased: 'Le compte est en cours de suppression ; plus rien ne peut y être modifié.',
    busy: 'Trop de modifications en même temps ; réessayez dans un instant.',
    category_not_empty:
      'Cette catégorie en contient d’autres ; supprimez-les ou déplacez-les d’abord.',
    category_taken: 'Une catégorie de ce nom existe déjà au même endroit.',
    changed_meanwhile: 'La conversation a changé entre-temps.',
    claim_in_use: 'Un autre groupe a déjà cette valeur.',
    claims_off: 'Ici, personne ne se connecte avec un fournisseur d’identité.',
    command_settled: 'Cet appel a déjà fait l’objet d’une autre décision.',
    command_superseded: 'La conversation a continué depuis.',
    content_unreadable: 'Le contenu enregistré ne peut pas être ouvert.',
    conversation_archived: 'La conversation est archivée ; désarchivez-la d’abord.',
    cookie_withheld:
      'Votre navigateur n’envoie pas ici le cookie de session ; appelez le service par le nom d’hôte de cette page.',
    daily_limit_reached:
      'Vous avez atteint votre limite du jour ; elle se renouvelle demain (UTC).',
    export_in_progress:
      'Une de vos exportations est déjà en préparation ; attendez sa fin ou supprimez-la.',
    group_not_found: 'Ce groupe n’existe pas, ou vous n’en êtes pas membre.',
    held: 'Le compte fait l’objet d’une conservation légale ; il pourra être supprimé quand elle sera levée.',
    idempotency_key_reused: 'Cette action a déjà été envoyée avec un autre contenu. Réessayez.',
    identity_provider_unavailable: 'Le fournisseur d’identité est injoignable. Réessayez bientôt.',
    import_broke_off: 'L’importation a été interrompue trop souvent ; ce qui a été importé reste.',
    insufficient_grant: 'La conversation est partagée avec vous, mais pas pour cela.',
    internal_error: 'Une erreur est survenue de notre côté.',
    invalid_credentials: 'Le nom d’utilisateur ou le mot de passe est incorrect.',
    invalid_identity: 'La réponse du fournisseur d’identité ne prouve pas qui vous êtes.',
    invalid_token: 'Le code est faux, déjà utilisé ou expiré ; demandez-en un autre.',
    keys_unavailable:
      'Les clés de données de ce compte ne peuvent pas être ouvertes maintenant ; rien n’a été fait.',
    last_administrator:
      'C’est le dernier compte administrateur ouvert ; donnez d’abord ce rôle à un autre.',
    link_password_required: 'Ce lien a un mot de passe.',
    link_sign_in_required: 'Ce lien suit la conversation ; connectez-vous pour l’ouvrir.',
    link_too_long: 'La conversation est trop longue pour un lien.',
    links_off: 'Les liens publics sont désactivés ici.',
    malformed: 'La requête est illisible.',
    mcp_not_enabled: 'Les outils sont désactivés dans cette conversation ; activez-les d’abord.',
    mcp_server_unavailable: 'Le serveur de cet outil est injoignable pour le moment.',
    message_id_taken: 'Un autre message de cette conversation a cet identifiant.',
    message_unreadable:
      'Le message enregistré est illisible et ne peut donc pas être modifié ; il peut être supprimé.',
    model_failed: 'Le modèle n’a pas pu répondre ; votre message est conservé.',
    model_nonsense:
      'La réponse du fournisseur du modèle est illisible ; votre message est conservé.',
    model_not_configured: 'Aucun modèle n’est configuré, donc rien ne peut recevoir de réponse.',
    model_rate_limited:
      'Le fournisseur du modèle est surchargé ; votre message est conservé, redemandez plus tard.',
    model_refused:
      'Le fournisseur du modèle a refusé la requête ; l’exploitant devrait vérifier ses réglages.',
    model_stream_broken: 'La réponse du modèle s’est interrompue ; ce qui en existe est conservé.',
    model_timed_out: 'Le modèle a mis trop de temps ; votre message est conservé.',
    model_unavailable:
      'Le fournisseur du modèle est injoignable ou en panne ; votre message est conservé.',
    no_password:
      'Le compte n’a pas de mot de passe : sans son identité, personne ne pourrait s’y connecter.',
    no_space: 'Le disque du service est plein ; réessayez plus tard.',
    not_author: 'Seule la personne qui a écrit la note peut la modifier.',
    not_found: 'Cela n’existe pas, ou ne vous appartient pas.',
    not_last_answer:
      'Seul le dernier message peut recevoir une nouvelle réponse, et seulement s’il est de l’assistant.',
    not_manager: 'Seuls les gestionnaires du groupe et son propriétaire le peuvent, ou lui seul.',
    not_undoable: 'Une suppression définitive ne peut pas être annulée.',
    nothing_to_answer: 'Il n’y a aucun message auquel répondre à nouveau.',
    outcome_unknown:
      'La connexion a été coupée pendant l’enregistrement ; la modification a peut-être eu lieu.',
    passwords_off:
      'Ici, on ne se connecte pas avec un mot de passe, mais avec le fournisseur d’identité.',
    pdf_failed: 'Le PDF n’a pas pu être créé ; exportez en HTML, qui s’imprime aussi.',
    pdf_not_installed: 'Ce service ne crée pas de PDF : typst n’est pas installé.',
    permission_denied: 'Vous n’y êtes pas autorisé.',
    precondition_required:
      'La conversation contient plus que ce qui est affiché. Rechargez-la et refaites la modification.',
    registration_closed: 'Les inscriptions sont fermées ; demandez un compte à l’administration.',
    reply_in_progress:
      'Une réponse est en cours dans cette conversation ; attendez sa fin ou arrêtez-la.',
    reply_interrupted:
      'Le service s’est arrêté pendant la réponse ; ce qui en existe est conservé.',
    reply_not_continued:
      'La réponse n’a pas pu continuer après les outils ; envoyez un nouveau message.',
    reply_under_way: 'Sur la branche affichée, une réponse est en cours ou attend une décision.',
    service_account: 'Ce compte est celui d’un programme, pas d’une personne.',
    session_required: 'Il faut être connecté pour cela ; une clé API ne suffit pas.',
    sign_in_again:
      'Votre compte n’a pas de mot de passe : reconnectez-vous, et recommencez dans les dix minutes.',
    stale_version:
      'Cela a changé depuis votre lecture ; relisez-le et refaites votre modification.',
    storage_full: 'Votre espace est plein ; supprimez d’abord quelque chose, corbeille comprise.',
    stored_not_shown:
      'La modification est enregistrée, mais ne peut pas être affichée pour le moment.',
    token_limit_reached: 'La conversation a épuisé ses tokens.',
    too_many_api_keys: 'Vous avez atteint le nombre de clés API permis ; révoquez-en une d’abord.',
    too_many_commands: 'Ce message a atteint le nombre d’appels permis ; envoyez-en un nouveau.',
    too_many_connections: 'Cette adresse a trop de connexions.',
    too_many_grants: 'Cette conversation est déjà partagée avec le nombre de personnes permis.',
    too_many_group_grants:
      'La conversation est déjà partagée avec 20 groupes, ou 1 000 conversations le sont avec celui-ci.',
    too_many_groups: 'Vous avez 100 groupes ; supprimez-en d’abord un.',
    too_many_links: 'Vous avez atteint le nombre de liens publics permis ; révoquez-en un d’abord.',
    too_many_members: 'Le groupe a 200 membres ; retirez-en d’abord un.',
    too_many_notes: 'Cette conversation a déjà le nombre de notes permis.',
    too_many_requests: 'Trop de tentatives ; réessayez plus tard.',
    too_many_rounds: 'Le modèle a demandé trop souvent des outils ; envoyez un nouveau message.',
    too_many_streams: 'Vous avez trop de connexions ouvertes ; fermez des onglets.',
    too_many_tags: 'La conversation aurait plus de 64 étiquettes.',
    too_many_templates: 'Vous avez 200 modèles de conversation ; supprimez-en d’abord un.',
    too_many_to_sort:
      'Les titres sont scellés, et trop nombreux pour être triés ; choisissez un autre ordre.',
    too_slow: 'La requête n’est pas arrivée à temps.',
    too_many_to_user:
      'Vous partagez déjà 200 conversations avec cette personne ; partagez-en d’autres avec un groupe commun.',
    tool_not_found: 'Vous n’avez pas de règle pour cet outil.',
    tool_not_permitted: 'Votre rôle ne permet pas d’utiliser cet outil.',
    unavailable: 'Le service ne peut pas le faire maintenant ; réessayez dans un instant.',
    under_hold: 'Une conservation légale le protège de la suppression définitive.',
    unknown_parent: 'Le message que celui-ci suit n’est plus dans la conversation.',
    upload_busy: 'Une autre partie de ce fichier est en cours de réception.',
    upload_elsewhere: 'Une autre machine a le début de ce fichier ; envoyez-le à nouveau.',
    upload_in_use: 'Un import utilise ce fichier ; annulez-le d’abord.',
    upload_incomplete: 'Le fichier n’est pas encore entièrement envoyé.',
    upload_missing: 'Le fichier envoyé a disparu ; envoyez-le à nouveau.',
    user_not_found: 'Cette personne n’existe pas ici.',
    wrong_link_password: 'Ce n’est pas le mot de passe du lien.',
    wrong_offset: 'L’envoi s’est interrompu ailleurs ; réessayez.',
  },
  leads: {
    conflict: 'Cela contredit ce qui est enregistré : ',
    import_rejected: 'Le fichier ne peut pas être importé : ',
    invalid_input: 'Cela ne peut pas être accepté : ',
    invalid_query: 'La recherche est illisible : ',
    too_large: 'C’est trop volumineux : ',
  },
  fields: {
    email: () => 'Ce n’est pas une adresse e-mail valide.',
    greater_than_equal: (limit) => `Au moins ${limit}.`,
    less_than_equal: (limit) => `Au plus ${limit}.`,
    missing: () => 'Ce champ est obligatoire.',
    name_characters: () => 'Un nom ne contient ni caractères de contrôle ni sauts de ligne.',
    password_too_long: () => 'Le mot de passe est trop long.',
    string_too_long: (limit) => `Au plus ${limit} caractères.`,
    string_too_short: (limit) =>
      limit === '1' ? 'Ce champ est obligatoire.' : `Au moins ${limit} caractères.`,
    username_characters: () => 'Le nom d’utilisateur contient des caractères non permis.',
    username_id: () => 'Le nom d’utilisateur ne doit pas ressembler à un identifiant.',
    username_scripts: () =>
      'Le nom d’utilisateur doit n’employer qu’un alphabet, par exemple que des lettres latines.',
  },
  limits: {
    reads_per_minute: 'Vous avez lu autant que possible en une minute. Réessayez dans une minute.',
    writes_per_minute:
      'Vous avez modifié autant que possible en une minute. Réessayez dans une minute.',
    searches_per_minute:
      'Vous avez cherché autant de fois que possible en une minute. Réessayez dans une minute.',
    exports_per_minute:
      'Vous avez exporté autant de fois que possible en une minute. Réessayez dans une minute.',
    messages_per_day:
      'Vous avez écrit tous les messages permis aujourd’hui. Il y en aura d’autres après minuit (UTC).',
    tokens_per_day:
      'Vos tokens d’aujourd’hui sont épuisés, les modèles ne vous répondent donc plus. Il y en aura d’autres après minuit (UTC).',
    stored_bytes:
      'Vos messages occupent tout l’espace permis. Supprimez-en et videz la corbeille, ou demandez-en plus à un administrateur.',
  },
});
