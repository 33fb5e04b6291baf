from imeiflow import GSMFusionAPIError, GSMFusionClient

try:
    with GSMFusionClient(api_key="a-wrong-key") as client:
        client.get_imei_services()
except GSMFusionAPIError as error:
    print(f"API error: {error}")

with GSMFusionClient() as client:
    result = client.place_imei_order(imei="350000000001054", network_id="1")
    print(f"Errors: {result['errors']}")
    try:
        client.wait_for_order_completion(order_id="99999999", check_interval=60)
    except GSMFusionAPIError as error:
        print(f"API error: {error}")
